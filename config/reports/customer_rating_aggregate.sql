-- Every quarantined row is a customer_number that could not be loaded.
-- The percentage is of all rows, rounded half away from zero; an agency without any row has none.
select
    customer,
    count_customer_number,
    sum_customer_rating,
    high_value_count,
    rejected as invalid_customer_number_count,
    round(100.0 * rejected / nullif(count_customer_number + rejected, 0), 2) as invalid_customer_number_percent
from load_measures_customer_rating
where run_date = :run_date
order by customer collate "C"
