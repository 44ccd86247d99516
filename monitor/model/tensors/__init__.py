"""What needs torch: a GPU, convolutional networks, training. The only package of `monitor` that imports it."""
