-- The dataset has problems of its own: what it measures can't be told, and is not guessed at.
select customer, rows, whatever from load_measures_sales where run_date = :run_date
