"""The host: a trained model in, a signed-off bundle out."""
