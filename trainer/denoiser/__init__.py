"""The image denoiser: pictures, noise, networks, training and its report."""
