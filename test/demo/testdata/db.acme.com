$ORIGIN acme.com.
$TTL 300
@       IN SOA ns1.example.com. hostmaster.example.com. 1 7200 1800 86400 300
        IN NS  ns1.example.com.
; The name that users know, for a service of the federation.
nginx   IN CNAME nginx.mynamespace.myfederation.svc.example.com.
