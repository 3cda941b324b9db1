"""The engine of the conformance kit: tables of checks, isolation, and processes of their own."""
