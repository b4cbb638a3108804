"""What all requests have in common: who may, how large, how many at a time, in which form."""
