-- Lists by channel or product in the whole bank: of a rare one the runs of 0011 would pass over
-- hundreds of rows for each that fits, and the count over all of them.
CREATE INDEX application_channel_begun
    ON application (channel, state, created_at, application_number) INCLUDE (branch, product);
CREATE INDEX application_product_begun
    ON application (product, state, created_at, application_number) INCLUDE (branch, channel);
