"""The MLX90640 thermal array: calibration, calculation, image assembly, sequence."""
