"""`lesions audit`: what a person should look at again, as the trained network sees the images; it removes nothing."""
