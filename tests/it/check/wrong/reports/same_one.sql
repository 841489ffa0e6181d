select customer from load_measures_fine where run_date = :run_date
