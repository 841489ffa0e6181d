-- $1 as of, $2 as known on
select
    (
        select count(*)
          from receivables.invoices
         where outstanding > 0 and due_date < $1 and known_since <= $2
    ) + (
        select count(*)
          from receivables.invoice_history
         where outstanding > 0 and due_date < $1 and known_since <= $2 and known_until > $2
    )
