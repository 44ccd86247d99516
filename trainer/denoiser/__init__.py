"""The image denoiser, apart from the ECG models: pictures, noise, networks, training and report."""
