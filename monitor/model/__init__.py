"""The model: network, manifest, model file, scorer and normalisation. The only package of `monitor` with torch."""
