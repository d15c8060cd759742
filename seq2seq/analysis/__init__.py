"""What a trained model does, asked by intervention and by measurement: a file for each question."""
