"""What a scaled network costs, and the largest one that fits a budget (Tan & Le 2019, 3.2-3.3)."""
