"""Signal against quantization noise, layer by layer, measured on the file that ships; and why it is what it is."""
