"""The model card: from the pipeline's figures to sentences that they allow, and a page."""
