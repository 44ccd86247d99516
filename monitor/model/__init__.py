"""The model: network, manifest, model file, scorer and normalisation. Only `tensors` needs torch (extra `gpu`)."""
