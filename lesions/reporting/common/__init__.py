"""The plot style, contact sheets and pages that reports share; change it and the stages that draw rerun."""
