"""An OpenAI-compatible server that keeps the timing of a service profile, without a model and without a GPU."""
