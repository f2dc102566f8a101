"""What users upload: blobs by digest, and models and data sets made of them."""
