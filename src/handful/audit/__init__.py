"""The data doctor: receives samples, facts and results; never fits anything, never changes a file."""
