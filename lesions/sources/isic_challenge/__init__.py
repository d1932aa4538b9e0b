"""Source `isic_challenge`: the ISIC challenges of 2016 to 2020, and of 2024."""
