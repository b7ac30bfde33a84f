"""What is prescribed for each kind of disease: functions of a verdict and the evidence."""
