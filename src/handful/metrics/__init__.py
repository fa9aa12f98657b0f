"""Pure functions on arrays: scores, intervals, calibration. Knows nothing about files, models or runs."""
