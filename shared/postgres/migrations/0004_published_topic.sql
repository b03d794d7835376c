-- The topics that this service has published to, each by the id that it has on its broker: one that
-- was made anew, there or on another broker, has another id under the same name.
CREATE TABLE messaging.published_topic (
    topic    text PRIMARY KEY,
    topic_id text NOT NULL
);
