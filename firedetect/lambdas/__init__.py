"""What runs in AWS Lambda; knows the contract and the errors, nothing else of firedetect."""
