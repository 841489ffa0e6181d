-- What came of each charge: those that need somebody first.
select
    results.charge_id,
    results.document_number,
    results.result,
    results.code,
    results.why,
    invoice.provider_entity_id as invoice_id,
    invoice.total_amount,
    invoice.currency_code,
    invoice.email_status
from charges.results as results
left join charges.acc_uac_invoice as invoice
       on invoice.pricer_invoice_id = results.charge_id
where results.run_date = :run_date
order by
    array_position(array['uncertain', 'failed', 'refused', 'waiting', 'created'], results.result),
    results.document_number nulls last,
    results.charge_id
