-- $1 the month's first day
select
    currency,
    bill_total as sum_bill_total,
    invoices as count_invoices,
    credit_total as sum_credit_total,
    credit_notes as count_credit_notes
from receivables.billed_by_month
where month = $1
order by currency collate "C"
