"""Detection heads of one unusual idea each."""
