"""The model file: network, manifest, scorer and normalisation. The only package of `monitor` that imports torch."""
