"""What turns a network's outputs into answers, fitted on train and validation; change it and calibrate reruns."""
