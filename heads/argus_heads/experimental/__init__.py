"""Heads that explore one unusual idea each."""
