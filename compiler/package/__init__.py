"""What leaves the compiler: golden set, report, bundle."""
