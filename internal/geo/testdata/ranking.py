"""Prints the rows of TestRanking, computed by none of the package's code.

A distance is the angle between two vectors from the center of a sphere (package geo
uses haversines). A client is left out if the same order doesn't also follow from
geodesics on the WGS 84 ellipsoid (Vincenty, Survey Review, April 1975), or if a
hundredth of a percent would change what is within five.
"""
from math import atan, atan2, cos, radians, sin, sqrt, tan

REGIONS = {  # as in clouds.go
    "va": (39.04, -77.49), "or": (45.84, -119.70), "be": (50.45, 3.82), "se": (59.33, 18.07),
    "jp": (35.68, 139.69), "sg": (1.35, 103.82), "au": (-33.87, 151.21), "br": (-23.55, -46.63),
    "za": (-26.20, 28.05), "in": (18.52, 73.86),
}

CLIENTS = """
Paris 48.8566 2.3522|London 51.5074 -0.1278|Madrid 40.4168 -3.7038|Lisbon 38.7223 -9.1393|Rome 41.9028 12.4964
Reykjavik 64.1466 -21.9426|Helsinki 60.1699 24.9384|Warsaw 52.2297 21.0122|Athens 37.9838 23.7275|Istanbul 41.0082 28.9784
Moscow 55.7558 37.6173|Novosibirsk 55.0084 82.9357|Vladivostok 43.1155 131.8855|Cairo 30.0444 31.2357|Lagos 6.5244 3.3792
Nairobi -1.2921 36.8219|Johannesburg -26.2041 28.0473|Cape Town -33.9249 18.4241|Antananarivo -18.8792 47.5079|Dakar 14.7167 -17.4677
Casablanca 33.5731 -7.5898|Tehran 35.6892 51.3890|Dubai 25.2048 55.2708|Karachi 24.8607 67.0011|Mumbai 19.0760 72.8777
Delhi 28.6139 77.2090|Colombo 6.9271 79.8612|Dhaka 23.8103 90.4125|Kathmandu 27.7172 85.3240|Almaty 43.2220 76.8512
Bangkok 13.7563 100.5018|Hanoi 21.0278 105.8342|Singapore 1.3521 103.8198|Jakarta -6.2088 106.8456|Manila 14.5995 120.9842
Hong Kong 22.3193 114.1694|Beijing 39.9042 116.4074|Seoul 37.5665 126.9780|Tokyo 35.6762 139.6503|Taipei 25.0330 121.5654
Perth -31.9505 115.8605|Darwin -12.4634 130.8456|Sydney -33.8688 151.2093|Auckland -36.8509 174.7645|Suva -18.1248 178.4501
Honolulu 21.3069 -157.8583|Papeete -17.5516 -149.5585|Anchorage 61.2181 -149.9003|Vancouver 49.2827 -123.1207|Los Angeles 34.0522 -118.2437
Denver 39.7392 -104.9903|Chicago 41.8781 -87.6298|Dallas 32.7767 -96.7970|New York 40.7128 -74.0060|Miami 25.7617 -80.1918
Toronto 43.6532 -79.3832|Mexico City 19.4326 -99.1332|Bogota 4.7110 -74.0721|Lima -12.0464 -77.0428|Santiago -33.4489 -70.6693
Buenos Aires -34.6037 -58.3816|Brasilia -15.7939 -47.8828|Recife -8.0476 -34.8770|Nuuk 64.1836 -51.7214|Longyearbyen 78.2232 15.6267
McMurdo -77.8419 166.6863|South Pole -90 0|North Pole 90 0|Date line east 0 180|Date line west 0 -180|Null Island 0 0
Stanley -51.7963 -57.8580|Reunion -20.8789 55.4481|Ulaanbaatar 47.8864 106.9057|Samarkand 39.6270 66.9750
"""


def vector(p):
    lat, lon = map(radians, p)
    return cos(lat) * cos(lon), cos(lat) * sin(lon), sin(lat)


def sphere(p, q):
    a, b = vector(p), vector(q)
    c = a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]
    return 6371.0088 * atan2(sqrt(sum(x * x for x in c)), sum(x * y for x, y in zip(a, b)))


def ellipsoid(p, q):
    a, f = 6378.137, 1 / 298.257223563
    b = a * (1 - f)
    if p == q:
        return 0
    u1, u2 = atan((1 - f) * tan(radians(p[0]))), atan((1 - f) * tan(radians(q[0])))
    far = radians(q[1] - p[1])
    lam = far
    for _ in range(1000):
        s = sqrt((cos(u2) * sin(lam)) ** 2 + (cos(u1) * sin(u2) - sin(u1) * cos(u2) * cos(lam)) ** 2)
        c = sin(u1) * sin(u2) + cos(u1) * cos(u2) * cos(lam)
        sigma = atan2(s, c)
        alpha = cos(u1) * cos(u2) * sin(lam) / s
        c2 = 1 - alpha ** 2
        m = c - 2 * sin(u1) * sin(u2) / c2 if c2 else 0
        k = f / 16 * c2 * (4 + f * (4 - 3 * c2))
        old, lam = lam, far + (1 - k) * f * alpha * (sigma + k * s * (m + k * c * (2 * m * m - 1)))
        if abs(lam - old) < 1e-12:
            break
    v = c2 * (a * a - b * b) / b ** 2
    big = 1 + v / 16384 * (4096 + v * (-768 + v * (320 - 175 * v)))
    small = v / 1024 * (256 + v * (-128 + v * (74 - 47 * v)))
    d = small * s * (m + small / 4 * (c * (2 * m * m - 1) - small / 6 * m * (4 * s * s - 3) * (4 * m * m - 3)))
    return b * big * (sigma - d)


def reaches(order, dist, slack):
    return "".join(str(max(j for j in range(i, len(order)) if dist[order[j]] <= (1.05 + slack) * dist[order[i]])) for i in range(len(order)))


for line in CLIENTS.replace("\n", "|").strip("|").split("|"):
    name, lat, lon = line.rsplit(" ", 2)
    at = float(lat), float(lon)
    dist = {r: sphere(at, p) for r, p in REGIONS.items()}
    real = {r: ellipsoid(at, p) for r, p in REGIONS.items()}
    order = sorted(dist, key=dist.get)
    if order != sorted(real, key=real.get) or reaches(order, dist, 1e-4) != reaches(order, dist, -1e-4):
        continue
    print('\t{"%s", Point{%s, %s}, "%s", "%s", %.0f},' % (name, lat, lon, " ".join(order), reaches(order, dist, 0), dist[order[0]]))
