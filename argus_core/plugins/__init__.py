"""What plugins add to Argus: hooks, registration, single files, and data sets by spec."""
