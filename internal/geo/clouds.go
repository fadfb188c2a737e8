package geo

import (
	"cmp"
	"slices"
)

// A RegionInfo is a cloud's region.
type RegionInfo struct {
	Name     string // as in topology.kubernetes.io/region
	Provider string // AWS, Google or Azure
	City     string // where it is, or near
	Point    Point
}

// Region finds a region of the big clouds by its name. No two clouds use the same.
func Region(name string) (r RegionInfo, ok bool) {
	i := slices.IndexFunc(clouds[:], func(r RegionInfo) bool { return r.Name == name })
	if i < 0 {
		return RegionInfo{}, false
	}
	return clouds[i], true
}

// Regions lists the regions of the big clouds by their names.
func Regions() []RegionInfo {
	return slices.SortedFunc(slices.Values(clouds[:]), func(a, b RegionInfo) int { return cmp.Compare(a.Name, b.Name) })
}

// clouds are the regions that the providers named by October 2026, with those for
// governments, for China and the European Sovereign Cloud. Left out are those that are
// secret, that are announced only, or whose city isn't known.
//
// The names and what is said of their places are from:
//
//   - AWS: partitions.json of aws-sdk-go-v2 v1.47.1
//   - Google: "Regions and zones" of the Compute Engine documentation
//   - Azure: "Azure regions list" of its reliability documentation, and the lists of
//     Azure Government and Azure in China
//
// Where a provider says no more than a state or a country, the city is the one near
// which its data centers are generally known to be. The coordinates are the city's to
// a hundredth of a degree, about a kilometer, and the same for all regions there: they
// are to be equally far away. Azure's interface has coordinates too; for some regions
// they are the middle of the country (France Central, 250 km from Paris).
var clouds = [...]RegionInfo{
	{"us-east-1", "AWS", "Northern Virginia, USA", Point{39.04, -77.49}},
	{"us-east-2", "AWS", "Columbus, USA", Point{39.96, -83}},
	{"us-west-1", "AWS", "San Francisco Bay, USA", Point{37.55, -122.05}},
	{"us-west-2", "AWS", "Boardman, USA", Point{45.84, -119.7}},
	{"us-gov-east-1", "AWS", "Columbus, USA", Point{39.96, -83}},
	{"us-gov-west-1", "AWS", "Boardman, USA", Point{45.84, -119.7}},
	{"ca-central-1", "AWS", "Montreal, Canada", Point{45.5, -73.57}},
	{"ca-west-1", "AWS", "Calgary, Canada", Point{51.05, -114.07}},
	{"mx-central-1", "AWS", "Querétaro, Mexico", Point{20.59, -100.39}},
	{"sa-east-1", "AWS", "São Paulo, Brazil", Point{-23.55, -46.63}},
	{"eu-central-1", "AWS", "Frankfurt, Germany", Point{50.11, 8.68}},
	{"eu-central-2", "AWS", "Zurich, Switzerland", Point{47.38, 8.54}},
	{"eu-north-1", "AWS", "Stockholm, Sweden", Point{59.33, 18.07}},
	{"eu-south-1", "AWS", "Milan, Italy", Point{45.46, 9.19}},
	{"eu-south-2", "AWS", "Zaragoza, Spain", Point{41.65, -0.89}},
	{"eu-west-1", "AWS", "Dublin, Ireland", Point{53.35, -6.26}},
	{"eu-west-2", "AWS", "London, United Kingdom", Point{51.51, -0.13}},
	{"eu-west-3", "AWS", "Paris, France", Point{48.86, 2.35}},
	{"eusc-de-east-1", "AWS", "Potsdam, Germany", Point{52.4, 13.06}},
	{"il-central-1", "AWS", "Tel Aviv, Israel", Point{32.08, 34.78}},
	{"me-central-1", "AWS", "Dubai, United Arab Emirates", Point{25.2, 55.27}},
	{"me-south-1", "AWS", "Manama, Bahrain", Point{26.23, 50.59}},
	{"af-south-1", "AWS", "Cape Town, South Africa", Point{-33.92, 18.42}},
	{"ap-east-1", "AWS", "Hong Kong", Point{22.32, 114.17}},
	{"ap-east-2", "AWS", "Taipei, Taiwan", Point{25.03, 121.57}},
	{"ap-northeast-1", "AWS", "Tokyo, Japan", Point{35.68, 139.69}},
	{"ap-northeast-2", "AWS", "Seoul, South Korea", Point{37.57, 126.98}},
	{"ap-northeast-3", "AWS", "Osaka, Japan", Point{34.69, 135.5}},
	{"ap-south-1", "AWS", "Mumbai, India", Point{19.08, 72.88}},
	{"ap-south-2", "AWS", "Hyderabad, India", Point{17.39, 78.49}},
	{"ap-southeast-1", "AWS", "Singapore", Point{1.35, 103.82}},
	{"ap-southeast-2", "AWS", "Sydney, Australia", Point{-33.87, 151.21}},
	{"ap-southeast-3", "AWS", "Jakarta, Indonesia", Point{-6.21, 106.85}},
	{"ap-southeast-4", "AWS", "Melbourne, Australia", Point{-37.81, 144.96}},
	{"ap-southeast-5", "AWS", "Kuala Lumpur, Malaysia", Point{3.14, 101.69}},
	{"ap-southeast-6", "AWS", "Auckland, New Zealand", Point{-36.85, 174.76}},
	{"ap-southeast-7", "AWS", "Bangkok, Thailand", Point{13.76, 100.5}},
	{"cn-north-1", "AWS", "Beijing, China", Point{39.9, 116.41}},
	{"cn-northwest-1", "AWS", "Zhongwei, China", Point{37.5, 105.2}},

	{"africa-south1", "Google", "Johannesburg, South Africa", Point{-26.2, 28.05}},
	{"asia-east1", "Google", "Changhua, Taiwan", Point{24.08, 120.54}},
	{"asia-east2", "Google", "Hong Kong", Point{22.32, 114.17}},
	{"asia-northeast1", "Google", "Tokyo, Japan", Point{35.68, 139.69}},
	{"asia-northeast2", "Google", "Osaka, Japan", Point{34.69, 135.5}},
	{"asia-northeast3", "Google", "Seoul, South Korea", Point{37.57, 126.98}},
	{"asia-south1", "Google", "Mumbai, India", Point{19.08, 72.88}},
	{"asia-south2", "Google", "Delhi, India", Point{28.61, 77.21}},
	{"asia-southeast1", "Google", "Singapore", Point{1.35, 103.82}},
	{"asia-southeast2", "Google", "Jakarta, Indonesia", Point{-6.21, 106.85}},
	{"asia-southeast3", "Google", "Bangkok, Thailand", Point{13.76, 100.5}},
	{"australia-southeast1", "Google", "Sydney, Australia", Point{-33.87, 151.21}},
	{"australia-southeast2", "Google", "Melbourne, Australia", Point{-37.81, 144.96}},
	{"europe-central2", "Google", "Warsaw, Poland", Point{52.23, 21.01}},
	{"europe-north1", "Google", "Hamina, Finland", Point{60.57, 27.2}},
	{"europe-north2", "Google", "Stockholm, Sweden", Point{59.33, 18.07}},
	{"europe-southwest1", "Google", "Madrid, Spain", Point{40.42, -3.7}},
	{"europe-west1", "Google", "Saint-Ghislain, Belgium", Point{50.45, 3.82}},
	{"europe-west2", "Google", "London, United Kingdom", Point{51.51, -0.13}},
	{"europe-west3", "Google", "Frankfurt, Germany", Point{50.11, 8.68}},
	{"europe-west4", "Google", "Eemshaven, Netherlands", Point{53.44, 6.83}},
	{"europe-west6", "Google", "Zurich, Switzerland", Point{47.38, 8.54}},
	{"europe-west8", "Google", "Milan, Italy", Point{45.46, 9.19}},
	{"europe-west9", "Google", "Paris, France", Point{48.86, 2.35}},
	{"europe-west10", "Google", "Berlin, Germany", Point{52.52, 13.4}},
	{"europe-west12", "Google", "Turin, Italy", Point{45.07, 7.69}},
	{"me-central1", "Google", "Doha, Qatar", Point{25.29, 51.53}},
	{"me-central2", "Google", "Dammam, Saudi Arabia", Point{26.42, 50.09}},
	{"me-west1", "Google", "Tel Aviv, Israel", Point{32.08, 34.78}},
	{"northamerica-northeast1", "Google", "Montreal, Canada", Point{45.5, -73.57}},
	{"northamerica-northeast2", "Google", "Toronto, Canada", Point{43.65, -79.38}},
	{"northamerica-south1", "Google", "Querétaro, Mexico", Point{20.59, -100.39}},
	{"southamerica-east1", "Google", "São Paulo, Brazil", Point{-23.55, -46.63}},
	{"southamerica-west1", "Google", "Santiago, Chile", Point{-33.45, -70.67}},
	{"us-central1", "Google", "Council Bluffs, USA", Point{41.26, -95.86}},
	{"us-east1", "Google", "Moncks Corner, USA", Point{33.2, -80.01}},
	{"us-east4", "Google", "Northern Virginia, USA", Point{39.04, -77.49}},
	{"us-east5", "Google", "Columbus, USA", Point{39.96, -83}},
	{"us-south1", "Google", "Dallas, USA", Point{32.78, -96.8}},
	{"us-west1", "Google", "The Dalles, USA", Point{45.59, -121.18}},
	{"us-west2", "Google", "Los Angeles, USA", Point{34.05, -118.24}},
	{"us-west3", "Google", "Salt Lake City, USA", Point{40.76, -111.89}},
	{"us-west4", "Google", "Las Vegas, USA", Point{36.17, -115.14}},

	{"australiacentral", "Azure", "Canberra, Australia", Point{-35.28, 149.13}},
	{"australiacentral2", "Azure", "Canberra, Australia", Point{-35.28, 149.13}},
	{"australiaeast", "Azure", "Sydney, Australia", Point{-33.87, 151.21}},
	{"australiasoutheast", "Azure", "Melbourne, Australia", Point{-37.81, 144.96}},
	{"austriaeast", "Azure", "Vienna, Austria", Point{48.21, 16.37}},
	{"belgiumcentral", "Azure", "Brussels, Belgium", Point{50.85, 4.35}},
	{"brazilsouth", "Azure", "São Paulo, Brazil", Point{-23.55, -46.63}},
	{"brazilsoutheast", "Azure", "Rio de Janeiro, Brazil", Point{-22.91, -43.17}},
	{"canadacentral", "Azure", "Toronto, Canada", Point{43.65, -79.38}},
	{"canadaeast", "Azure", "Quebec, Canada", Point{46.81, -71.21}},
	{"centralindia", "Azure", "Pune, India", Point{18.52, 73.86}},
	{"centralus", "Azure", "Des Moines, USA", Point{41.59, -93.62}},
	{"chilecentral", "Azure", "Santiago, Chile", Point{-33.45, -70.67}},
	{"chinaeast", "Azure", "Shanghai, China", Point{31.23, 121.47}},
	{"chinaeast2", "Azure", "Shanghai, China", Point{31.23, 121.47}},
	{"chinaeast3", "Azure", "Nanjing, China", Point{32.06, 118.8}},
	{"chinanorth", "Azure", "Beijing, China", Point{39.9, 116.41}},
	{"chinanorth2", "Azure", "Beijing, China", Point{39.9, 116.41}},
	{"chinanorth3", "Azure", "Zhangjiakou, China", Point{40.77, 114.88}},
	{"denmarkeast", "Azure", "Copenhagen, Denmark", Point{55.68, 12.57}},
	{"eastasia", "Azure", "Hong Kong", Point{22.32, 114.17}},
	{"eastus", "Azure", "Northern Virginia, USA", Point{39.04, -77.49}},
	{"eastus2", "Azure", "Boydton, USA", Point{36.67, -78.39}},
	{"francecentral", "Azure", "Paris, France", Point{48.86, 2.35}},
	{"francesouth", "Azure", "Marseille, France", Point{43.3, 5.37}},
	{"germanynorth", "Azure", "Berlin, Germany", Point{52.52, 13.4}},
	{"germanywestcentral", "Azure", "Frankfurt, Germany", Point{50.11, 8.68}},
	{"indiasouthcentral", "Azure", "Hyderabad, India", Point{17.39, 78.49}},
	{"indonesiacentral", "Azure", "Jakarta, Indonesia", Point{-6.21, 106.85}},
	{"israelcentral", "Azure", "Tel Aviv, Israel", Point{32.08, 34.78}},
	{"italynorth", "Azure", "Milan, Italy", Point{45.46, 9.19}},
	{"japaneast", "Azure", "Tokyo, Japan", Point{35.68, 139.69}},
	{"japanwest", "Azure", "Osaka, Japan", Point{34.69, 135.5}},
	{"jioindiacentral", "Azure", "Nagpur, India", Point{21.15, 79.09}},
	{"jioindiawest", "Azure", "Jamnagar, India", Point{22.47, 70.06}},
	{"koreacentral", "Azure", "Seoul, South Korea", Point{37.57, 126.98}},
	{"koreasouth", "Azure", "Busan, South Korea", Point{35.18, 129.08}},
	{"malaysiawest", "Azure", "Kuala Lumpur, Malaysia", Point{3.14, 101.69}},
	{"mexicocentral", "Azure", "Querétaro, Mexico", Point{20.59, -100.39}},
	{"newzealandnorth", "Azure", "Auckland, New Zealand", Point{-36.85, 174.76}},
	{"northcentralus", "Azure", "Chicago, USA", Point{41.88, -87.63}},
	{"northeurope", "Azure", "Dublin, Ireland", Point{53.35, -6.26}},
	{"norwayeast", "Azure", "Oslo, Norway", Point{59.91, 10.75}},
	{"norwaywest", "Azure", "Stavanger, Norway", Point{58.97, 5.73}},
	{"polandcentral", "Azure", "Warsaw, Poland", Point{52.23, 21.01}},
	{"qatarcentral", "Azure", "Doha, Qatar", Point{25.29, 51.53}},
	{"southafricanorth", "Azure", "Johannesburg, South Africa", Point{-26.2, 28.05}},
	{"southafricawest", "Azure", "Cape Town, South Africa", Point{-33.92, 18.42}},
	{"southcentralus", "Azure", "San Antonio, USA", Point{29.42, -98.49}},
	{"southeastasia", "Azure", "Singapore", Point{1.35, 103.82}},
	{"southindia", "Azure", "Chennai, India", Point{13.08, 80.27}},
	{"spaincentral", "Azure", "Madrid, Spain", Point{40.42, -3.7}},
	{"swedencentral", "Azure", "Gävle, Sweden", Point{60.67, 17.14}},
	{"swedensouth", "Azure", "Staffanstorp, Sweden", Point{55.64, 13.21}},
	{"switzerlandnorth", "Azure", "Zurich, Switzerland", Point{47.38, 8.54}},
	{"switzerlandwest", "Azure", "Geneva, Switzerland", Point{46.2, 6.14}},
	{"uaecentral", "Azure", "Abu Dhabi, United Arab Emirates", Point{24.45, 54.38}},
	{"uaenorth", "Azure", "Dubai, United Arab Emirates", Point{25.2, 55.27}},
	{"uksouth", "Azure", "London, United Kingdom", Point{51.51, -0.13}},
	{"ukwest", "Azure", "Cardiff, United Kingdom", Point{51.48, -3.18}},
	{"usdodcentral", "Azure", "Des Moines, USA", Point{41.59, -93.62}},
	{"usdodeast", "Azure", "Boydton, USA", Point{36.67, -78.39}},
	{"usgovarizona", "Azure", "Phoenix, USA", Point{33.45, -112.07}},
	{"usgovtexas", "Azure", "San Antonio, USA", Point{29.42, -98.49}},
	{"usgovvirginia", "Azure", "Boydton, USA", Point{36.67, -78.39}},
	{"westcentralus", "Azure", "Cheyenne, USA", Point{41.14, -104.82}},
	{"westeurope", "Azure", "Amsterdam, Netherlands", Point{52.37, 4.9}},
	{"westindia", "Azure", "Mumbai, India", Point{19.08, 72.88}},
	{"westus", "Azure", "San Francisco Bay, USA", Point{37.55, -122.05}},
	{"westus2", "Azure", "Quincy, USA", Point{47.23, -119.85}},
	{"westus3", "Azure", "Phoenix, USA", Point{33.45, -112.07}},
}
