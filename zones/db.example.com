; The static records of the domain: who serves it, and whatever stands beside the
; federated names. The serial is fedns's own; MINIMUM bounds negative answers.
@                3600 IN SOA   ns1 hostmaster 1 7200 1800 86400 5
@                3600 IN NS    ns1
ns1              3600 IN A     127.0.0.1

; Short names for clients outside the clusters.
nginx            180  IN CNAME nginx.mynamespace.myfederation.svc
us.nginx         180  IN CNAME nginx.mynamespace.myfederation.svc.us-central1
eu.nginx         180  IN CNAME nginx.mynamespace.myfederation.svc.europe-west1
