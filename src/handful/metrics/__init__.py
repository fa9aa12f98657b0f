"""Pure functions on arrays: scores, intervals, paired tests, calibration, learning curves. Knows nothing about files, models or runs."""
