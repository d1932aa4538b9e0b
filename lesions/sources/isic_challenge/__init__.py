"""Source `isic_challenge`: the ISIC challenges of 2018 and 2019."""
