"""Result rows gathered, grouped over seeds, and ranked."""
