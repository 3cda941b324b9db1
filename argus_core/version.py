"""The version of the contract between Argus and its plugins."""

API_VERSION = "1.0"
"""MAJOR.MINOR; docs/versions.md says what may change when."""
