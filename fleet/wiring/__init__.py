"""The composition root, the only place that knows every part: `server.run` puts one server together and serves.

`fleet` connects seven rooms, in the order in which they need each other; each room is the file of its name:

    broker_side  the broker, whom it believes, and our own lines to it
    people       who may use API and dashboard, and where what they do is told
    trust        our keys, what they sign, and what is wished of each device
    deliveries   releases' files, and what is asked of devices
    rollouts     who finds devices, brings them releases and settings, and follows how they do
    arrivals     how machines become devices, and stop being ones
    hearing      what devices say

`services` is what the API works with, `duties` what one server alone does.
"""
