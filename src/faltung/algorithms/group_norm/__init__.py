"""Group and instance normalisation, channels last."""
