"""The train/validation/test split and offline oversampling; change it and split and rebalance rerun."""
