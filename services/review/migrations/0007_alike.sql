-- Which cases were decided of a product and a kind of applicant, the latest first: an id tells when.
CREATE INDEX review_case_alike ON review_case (product, applicant_type, application_id)
    WHERE granted_limit IS NOT NULL OR category IS NOT NULL;
