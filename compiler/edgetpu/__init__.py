"""What an Edge TPU does with an int8 `.tflite` file: predicted from what is published, and compiled where the compiler is installed."""
