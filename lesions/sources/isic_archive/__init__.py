"""Source `isic_archive`: a collection or a search of the ISIC archive."""
