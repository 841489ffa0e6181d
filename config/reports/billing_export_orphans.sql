-- A value that refers to no row, or (an alias) to more than one customer. The rows that hold it are loaded all the same.
select
    table_name as "table",
    column_name as "column",
    value,
    row_count as rows,
    refers_to
from billing_export.orphans
where run_date = :run_date
order by table_name collate "C", column_name collate "C", value collate "C"
